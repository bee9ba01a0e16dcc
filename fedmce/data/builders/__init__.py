"""Programs that make embedded data; they may need Debian packages and scikit-learn, the loaders never do."""
