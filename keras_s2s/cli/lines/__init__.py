"""Texts as lines: reading them, generating for each, and writing results and remarks."""
