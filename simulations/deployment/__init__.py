"""A federation between real sites: Flower's own SuperLink and SuperNodes, started, watched and resumed."""
