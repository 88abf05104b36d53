"""From what a site serves to a folder that a source can read."""
