"""Share a site's SpiNNaker boards among jobs."""
