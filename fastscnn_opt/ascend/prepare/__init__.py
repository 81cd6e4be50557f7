"""Folders of binary images and labels for the vendor's benchmark tools."""
