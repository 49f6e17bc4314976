"""Measure a prediction against the ground truth: psnr (integer planes), ssim (torch, also a loss), vmaf (libvmaf)."""
