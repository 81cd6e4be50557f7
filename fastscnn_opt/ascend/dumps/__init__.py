"""The accuracy of outputs that the vendor's benchmark tools dumped to files."""
