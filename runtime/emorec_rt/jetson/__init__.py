"""What the runtime knows about Jetson modules: which one this is, its power modes, a memory plan for it."""
