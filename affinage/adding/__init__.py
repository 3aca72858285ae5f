"""Looks at a file, folder or address as a person would, and makes an entry of params.yaml of it: `affinage add`."""
