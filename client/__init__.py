"""The program at a site: a Flower ClientApp that answers messages and holds no policy."""
