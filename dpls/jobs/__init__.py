"""From a configuration to a finished run.

submission  a run directory that waits for its worker; what is wrong is found here
launchers   who starts workers; the one of this installation
local       workers as processes of this machine
queue       which run may start, and what it waits for
slots       who may compute now
worker      the life of a run: lock, slot, training, how it ended
finish      what follows the last epoch: evaluations, tables, manifest
evaluating  the evaluations of a trained run, one after the other (loads torch)
wanted      evaluations that were asked for and are not made yet
estimate    how long a run will take
room        what a run needs on disks, and whether there is so much room
console     how far it is, for terminal, log and pages
"""
