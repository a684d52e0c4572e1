"""The doors: the webhook, the pages, the API. `application` puts them together, `server` holds the sockets."""
