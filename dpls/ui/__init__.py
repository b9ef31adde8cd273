"""The Streamlit pieces that pages share. Nothing else in dpls imports streamlit.

frame       what every page is drawn in: menu, errors as sentences, the timer
store       cached readers of run directories and images
selection   which run, measure, T and examples: the sidebar, kept in the URL, shared by the result pages
gallery     images as one sprite of buttons
inspector   everything known about one image
form        widgets generated from the fields of a component
live        a run at work: progress, curves, warnings
"""
