"""Render: video and contact sheet of any motion artifact."""
