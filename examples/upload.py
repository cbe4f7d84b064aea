"""Emotions in a FastAPI service of your own: a video in, its summary and segments out.

    pip install '.[cpu]' fastapi uvicorn python-multipart
    uvicorn --app-dir examples upload:app
    curl -F file=@talk.mp4 http://127.0.0.1:8000/emotions

`emorec-rt serve` has limits, a token and rows as they are made; this is for those who have a service already.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException, UploadFile

import emorec_rt

app = FastAPI()
recognizer = emorec_rt.load()  # once; its streams may run at the same time


@app.post("/emotions")
def emotions(file: UploadFile) -> dict[str, Any]:
    """Share of frames of each label, and the label of each second."""
    try:
        rows = list(recognizer.stream(file.file))
    except emorec_rt.MediaError as error:
        raise HTTPException(422, error.reason) from error
    known = [row for row in rows if row.known]
    shares = {
        label: sum(row.label == label for row in known) / max(len(known), 1) for label in recognizer.labels
    }
    return {"frames": len(rows), "shares": shares, "labels": [row.label for row in known[::25]]}
