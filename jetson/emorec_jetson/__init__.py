"""A Jetson's own figures: module, power, heat, memory plan.

Everything here reads text that the vendor's own tools print, or files under a root that can be chosen, so all
of it is tested without a Jetson.
"""
