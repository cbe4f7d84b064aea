"""Emotions of a video as a data frame: cells for Jupyter (through jupytext) or an editor, or run as it is."""

# %%
import pandas as pd

import emorec_rt

VIDEO = "examples/demo.mp4"
frame = pd.DataFrame(emorec_rt.table(emorec_rt.load().stream(VIDEO)))
frame.head()

# %% Mean scores of each second
seconds = frame.groupby(frame.time_seconds.astype(int)).mean(numeric_only=True)
print(seconds[["Neutral", "Happiness", "Anger"]].round(2).head())

# %% The frames that show most surprise
print(frame.nlargest(3, "Surprise")[["time_seconds", "label", "Surprise"]])
