"""What a model goes through when its file is read: mending, and a search for damage."""
