"""Frames as planes: y4m files, colour, resizing, ffmpeg, cuts and bars, stand-in clips."""
