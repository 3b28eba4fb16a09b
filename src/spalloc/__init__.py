"""The client under its older import name; everything here comes from `spalloc_client`."""
