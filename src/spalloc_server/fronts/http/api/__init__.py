"""The API as an application: its resources, their documents, and who may ask for them."""
