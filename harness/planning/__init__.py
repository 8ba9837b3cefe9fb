"""What a run will need, before it starts and without its weights, data, keys or a network.

``shapes`` knows the presets' models, ``devices`` the machines, ``memory`` what a training or an engine takes on
each device, ``offline`` the stages of a preset with their work. ``harness.estimate`` prints them.
"""
