"""The routes, one router a file; `serve_apps.application` composes them into applications."""
