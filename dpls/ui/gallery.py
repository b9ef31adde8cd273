"""Images as one sprite of buttons: crisp pixels, a click tells Python the example's id.

A component of our own, because a list of images is an order slower, smooths the pixels, and cannot be clicked
(docs/architecture.md has the figures).
"""

import base64
import io
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image


class Tile(NamedTuple):
    """One image: its id, two lines below it, what a pointer or a screen reader is told, and its group's heading."""

    id: int
    caption: str
    note: str
    title: str
    mark: str = ""
    group: str = ""


CSS = """
.gallery { display: flex; flex-direction: column; gap: 0.5rem; font-family: var(--st-font); }
.group { font-size: 0.9rem; font-weight: 600; color: var(--st-text-color); margin-top: 0.25rem; }
.tiles { display: flex; flex-wrap: wrap; gap: 6px 8px; }
.one-row .tiles { height: calc(var(--tile) + 2.3rem); overflow: hidden; }
button { all: unset; cursor: pointer; width: var(--tile); box-sizing: border-box; }
.pixels {
  width: var(--tile); height: var(--tile); image-rendering: pixelated; background-image: var(--sprite);
  background-size: var(--sheet); border-radius: 3px; box-sizing: border-box; position: relative;
}
.mark {
  position: absolute; left: 3px; bottom: 3px; padding: 0 4px; border-radius: 3px; font-size: 0.68rem; line-height: 1.35;
  background: rgba(0, 0, 0, 0.72); color: #fff;
}
.caption, .note {
  font-size: 0.75rem; line-height: 1.05rem; height: 1.05rem; color: var(--st-text-color); white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis;
}
.note { color: var(--st-orange-text-color); }
button:hover .pixels { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
button:focus-visible .pixels, button[aria-pressed="true"] .pixels {
  outline: 3px solid var(--st-primary-color); outline-offset: 1px;
}
button[aria-description] .pixels { box-shadow: inset 0 0 0 4px var(--st-primary-color); }
"""

JS = """
const drawn = new WeakMap()

function draw(root, data) {
  const bytes = Uint8Array.from(atob(data.sprite), c => c.charCodeAt(0))
  const url = URL.createObjectURL(new Blob([bytes], { type: "image/webp" }))
  const image = new Image()
  image.src = url
  root.style.setProperty("--tile", data.tile + "px")
  root.style.setProperty("--sheet", `${data.columns * data.tile}px auto`)
  root.className = data.one_row ? "gallery one-row" : "gallery"
  const groups = document.createDocumentFragment()
  let group = null, tiles = null
  data.tiles.forEach((tile, place) => {
    if (tile.group !== group) {
      group = tile.group
      if (group) {
        const heading = document.createElement("div")
        heading.className = "group"
        heading.textContent = group
        groups.append(heading)
      }
      tiles = document.createElement("div")
      tiles.className = "tiles"
      groups.append(tiles)
    }
    const button = document.createElement("button")
    button.dataset.id = tile.id
    button.title = tile.title
    button.setAttribute("aria-label", tile.title)
    const pixels = document.createElement("div")
    pixels.className = "pixels"
    const column = place % data.columns, row = Math.floor(place / data.columns)
    pixels.style.backgroundPosition = `${-column * data.tile}px ${-row * data.tile}px`
    if (tile.mark) {
      const mark = document.createElement("span")
      mark.className = "mark"
      mark.textContent = tile.mark
      pixels.append(mark)
    }
    const caption = document.createElement("div")
    caption.className = "caption"
    caption.textContent = tile.caption
    const note = document.createElement("div")
    note.className = "note"
    note.textContent = tile.note
    button.append(pixels, caption, note)
    tiles.append(button)
  })
  const before = drawn.get(root)
  image.decode().then(() => {           // the old pictures stay until the new ones can be shown: nothing flickers
    root.style.setProperty("--sprite", `url(${url})`)
    root.replaceChildren(groups)
    root.dataset.ready = data.signature
    if (before) URL.revokeObjectURL(before.url)
    root.dispatchEvent(new Event("drawn"))
  })
  drawn.set(root, { signature: data.signature, url })
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".gallery")
  const press = () => root.querySelectorAll("button").forEach(button => {
    const id = Number(button.dataset.id)
    button.setAttribute("aria-pressed", String(id === data.picked))
    if (data.several?.includes(id)) button.setAttribute("aria-description", "picked")
    else button.removeAttribute("aria-description")
  })
  root.onclick = event => {
    const button = event.target.closest("button")
    if (!button) return
    const id = Number(button.dataset.id), held = event.ctrlKey || event.metaKey
    if (!data.several || !(held || event.shiftKey)) return setTriggerValue("picked", id)
    const all = [...root.querySelectorAll("button")].map(b => Number(b.dataset.id)), some = new Set(data.several)
    const from = all.indexOf(Number(root.dataset.last)), to = all.indexOf(id)
    if (event.shiftKey && from >= 0)
      all.slice(Math.min(from, to), Math.max(from, to) + 1).forEach(other => some.add(other))
    else if (!some.delete(id)) some.add(id)
    root.dataset.last = id
    setTriggerValue("several", [...some])
  }
  root.onkeydown = event => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    const here = event.target.closest("button")
    if (!step || !here) return
    const all = [...root.querySelectorAll("button")]
    const next = all[all.indexOf(here) + step]
    if (next) next.focus()
    event.preventDefault()
  }
  root.addEventListener("drawn", press, { once: true })
  if (drawn.get(root)?.signature !== data.signature) draw(root, data)
  press()
}
"""

_gallery = st.components.v2.component("dpls_gallery", html='<div class="gallery"></div>', css=CSS, js=JS)


def gallery(
    images: NDArray[np.uint8],
    tiles: Sequence[Tile],
    key: str,
    on_pick: Callable[[int], None],
    *,
    tile: int = 88,
    picked: int | None = None,
    one_row: bool = False,
    fixed: bool = False,
    several: str = "",
) -> None:
    """Draws images uint8 (n, C, H, W), one a tile, ``tile`` CSS pixels wide; ``on_pick`` is called with a tile's id.

    ``one_row``: of each group as many as fit into a row. ``fixed``: takes the height of one row at once, so that
    nothing below it moves. ``several``: where in the session the ids stand that Ctrl and Shift pick together.
    """
    columns = min(len(tiles), max(16, math.isqrt(len(tiles))))  # WebP ends at 16,383 pixels a side
    sheet = sprite(images, columns)
    described = [t._asdict() for t in tiles]

    def clicked() -> None:
        if (found := st.session_state[key]["picked"]) is not None:
            on_pick(int(found))

    def picked_several() -> None:
        if several and (found := st.session_state[key]["several"]) is not None:
            st.session_state[several] = [int(example) for example in found]

    _gallery(
        key=key,
        data={
            "sprite": base64.b64encode(sheet).decode(),
            "signature": f"{hash(sheet)} {hash(tuple(tiles))} {tile} {one_row}",
            "tiles": described,
            "tile": tile,
            "columns": columns,
            "picked": picked,
            "one_row": one_row,
            "several": st.session_state.get(several, []) if several else None,
        },
        on_picked_change=clicked,
        on_several_change=picked_several,
        height=tile + 37 if fixed else "content",
    )


def sprite(images: NDArray[np.uint8], columns: int) -> bytes:
    """A lossless WebP sheet of images uint8 (n, C, H, W), row by row, ``columns`` a row."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * columns, channels, height, width), dtype=np.uint8)
    sheet[:count] = images
    grid = sheet.reshape(rows, columns, channels, height, width).transpose(0, 3, 1, 4, 2)
    return _webp(grid.reshape(rows * height, columns * width, channels))


def _webp(pixels: NDArray[np.uint8]) -> bytes:
    """Lossless, quick rather than small. (H, W, 1 or 3)."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))).save(
        buffer, "WEBP", lossless=True, method=0, exact=True
    )
    return buffer.getvalue()


def large(image: NDArray[np.uint8], size: int, alt: str) -> None:
    """One image uint8 (C, H, W), ``size`` CSS pixels wide, every pixel a square."""
    import html

    data = base64.b64encode(_webp(image.transpose(1, 2, 0))).decode()
    st.html(
        f'<img src="data:image/webp;base64,{data}" alt="{html.escape(alt, quote=True)}" width="{size}" height="{size}"'
        ' style="image-rendering: pixelated; border-radius: 4px; max-width: 100%; height: auto">'
    )
