"""A small unconditional diffusion model of a data set's images, and purification by it (DDPM, DiffPure).

chain      the noise of each level; to a level in one step, and back in a few (loads torch)
denoiser   the net that tells noise from image: a tiny U-Net (loads torch)
learning   its training, once for a data set (loads torch)
"""
