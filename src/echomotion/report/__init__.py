"""Pictures, video and the page that show where numbers came from."""
