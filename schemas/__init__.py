"""The artifacts that stages exchange: versioned HDF5 files, and glTF as the face to the world (DESIGN.md)."""
