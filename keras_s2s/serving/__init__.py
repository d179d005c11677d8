"""An HTTP server for models: TensorFlow Serving's REST interface, and LibreTranslate's.

`keras-s2s serve` starts it; `docs/serving.md` describes requests and replies. It needs the extra
`serve` (Starlette, uvicorn, prometheus-client).

| module | subject |
| --- | --- |
| `server.py` | loads models, listens, stops gracefully |
| `app.py` | the routes |
| `gate.py` | requests in progress, and the refusal of new ones while the server stops |
| `tf_serving_api.py`, `libretranslate_api.py`, `event_stream.py` | the interfaces |
| `tensor_json.py` | TensorFlow Serving's rows and columns |
| `text_formats.py` | LibreTranslate's `format`: texts and HTML, sentence by sentence |
| `page_files.py`, `page_api.py`, `page/` | the page at `/`, and what it asks of the server |
| `languages.py` | the codes that clients use, and those of a model |
| `hosting.py`, `batching.py` | a model with its queue; what waits is computed together |
| `patience.py` | when a batch starts that is not full |
| `models.py`, `preset_model.py`, `saved_model.py` | what is served |
| `parameters.py`, `limits.py`, `body.py` | checks and limits |
| `errors.py`, `replies.py`, `metrics.py` | replies and counters |
| `loading.py`, `names.py` | models named on the command line |
"""
