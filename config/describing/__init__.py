"""The API's description by OpenAPI 3.1: made of what stands beside each view, served, and held against requests."""
