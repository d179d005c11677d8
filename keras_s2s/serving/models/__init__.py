"""Models behind the server: presets, SavedModels, and their queues."""
