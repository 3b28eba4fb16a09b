"""What an administrator may say about a site, in TOML, and the values that come of it."""
