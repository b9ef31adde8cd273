"""Evaluations that take longer than a call of an attack. A new one is a file here and a name in ``AnyEvaluation``.

a3          Adaptive Auto Attack
a3_chunk    its search (loads torch)
autoattack  AutoAttack, and a lighter ladder of its attacks
stages      the attacks of AutoAttack, and the ladders made of them
reference   these attacks in turn, by the authors' implementation, which is optional (loads torch)
rays        RayS, which sees labels alone
diffpure    the net behind purification by a diffusion model
diffpure_chunk  its attacks end to end (loads torch)
"""
