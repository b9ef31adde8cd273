"""A data set that also says which example each item is."""

from typing import Any


class WithIds:
    """Wraps a data set with ``__getitem__`` and ``__len__``, as a DataLoader takes it: item i of (x, y) becomes (id, x,
    y), of a dictionary one with the entry ``ids``; anything else x becomes (id, x).

    start: the id of the first item, for data sets that follow others in what was handed over to the Recorder.
    """

    def __init__(self, dataset: Any, start: int = 0) -> None:
        self.dataset, self.start = dataset, start

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: int) -> Any:
        item, number = self.dataset[place], self.start + int(place)
        if isinstance(item, dict):
            return item | {"ids": number}
        return (number, *item) if isinstance(item, tuple | list) else (number, item)
