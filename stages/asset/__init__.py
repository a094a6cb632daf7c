"""Asset: read, check, weld, orient and scale a 3D file, or take a character of the built-in library."""
