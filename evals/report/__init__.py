"""Reports of runs: figures, files and a page."""
