"""Frames as planes: y4m files, colour, resizing, ffmpeg, codecs, degradations, stand-in clips."""
