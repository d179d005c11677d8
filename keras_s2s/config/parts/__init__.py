"""Configuration of the parts of an architecture, and the registry of types of parts."""
