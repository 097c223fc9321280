"""The settings of the products service."""

from services.chassis.settings import Settings


class ProductsSettings(Settings):
    """The settings of the products service."""

    port: int = 8002
    database_url: str = "sqlite:///products.db"
