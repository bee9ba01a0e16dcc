"""Site folders: a site's own data on disk, its format, reader, writer and checker (docs/site-folder.md)."""
