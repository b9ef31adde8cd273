"""How much the checks try."""

POINTS = (0, 1, 5, 20, 50)
"""Steps of PGD after which the margin is looked at."""
REPEATS = 4
"""Further passes of the same images: five with the first, as many as AutoAttack makes to find random nets."""
DRAWS = 10
"""Random images in the eps ball, half of them in its corners."""
MARGIN_STEPS, TARGETS = 20, 1
"""Of the attack on margins, which label smoothing and large logits do not lead astray."""
QUERIES = 80
"""Of the black box. It shall notice that gradients miss much, not measure how much."""
UNLIMITED_STEPS = 20
"""Of the attack that may change everything."""
