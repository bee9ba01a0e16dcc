"""Who is who between real sites: certificates, node keys, the kit that a site gets, the folder that the server keeps.

Nothing here imports Flower or torch: `fedmce provision` and `fedmce client inspect` start quickly, and a site can
check its kit before anything else is installed. What travels how is in docs/deployment-keys.md.
"""
