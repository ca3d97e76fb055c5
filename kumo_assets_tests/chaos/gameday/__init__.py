"""`make gameday`: a drill against real servers, as an on-call engineer would live it, with readers that never stop asking.

What happened is kept in `timeline`, the two stages and what is typed on them in `stage`, the scenes in `chain_scenes` and
`pointer_scenes`. Nothing of ours is replaced: commands are processes, faults are put in where they would arise.
"""
