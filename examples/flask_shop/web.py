"""The web application. Each server process has one engine, which also does the work."""

from __future__ import annotations

from typing import Any

from flask import Flask, request
from flask.typing import ResponseReturnValue

from keepstep import AlreadyStarted, BlockingEngine, NotFound, RunClosed

from .shop import Order, Sale


def create_app(url: str) -> Flask:
    """The application of this process. Under gunicorn it is made after the fork, unless you ask for ``--preload``.

    The engine is closed when the process ends.
    """
    app = Flask(__name__)
    engine = app.extensions["keepstep"] = BlockingEngine(url).open()

    @app.put("/orders/<id>")
    def place_order(id: str) -> ResponseReturnValue:
        """Said again, as impatient browsers do, it is the same order: its id is the customer's."""
        body: dict[str, Any] = request.get_json()
        sale = engine.start(Sale, Order(body["item"], body["count"], body["email"]), id=id)
        return {"id": sale.id}, 202

    @app.post("/orders/<id>/payment")
    def take_payment(id: str) -> ResponseReturnValue:
        """The payment service calls this, and calls again if it got no answer: a receipt counts once."""
        receipt = str(request.get_json()["receipt"])
        engine.get(id).signal("paid", receipt, id=receipt)
        return "", 204

    @app.delete("/orders/<id>")
    def cancel_order(id: str) -> ResponseReturnValue:
        engine.get(id).cancel("the customer has thought better of it")
        return "", 202

    @app.get("/orders/<id>")
    def show_order(id: str) -> ResponseReturnValue:
        sale = engine.get(id)
        return {"status": sale.describe().status, "progress": sale.query(Sale.progress)}

    @app.get("/orders")
    def list_orders() -> ResponseReturnValue:
        found = engine.list("WorkflowType = 'Sale' AND Status = 'running'", limit=100)
        return {"open": [info.id for info in found]}

    @app.errorhandler(NotFound)
    def say_not_found(error: NotFound) -> ResponseReturnValue:
        return {"error": str(error)}, 404

    @app.errorhandler(RunClosed)
    @app.errorhandler(AlreadyStarted)
    def say_conflict(error: Exception) -> ResponseReturnValue:
        return {"error": str(error)}, 409

    return app
