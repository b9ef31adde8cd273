"""The Streamlit pieces that pages share. Nothing else in dpls imports streamlit.

frame       what every page is drawn in: menu, errors as sentences, the timer
store       cached readers of run directories and images
facts       who the examples of a run are
address     what a link carries: values of widgets, from page to page
selection   which run, measure, T and examples: shared by the result pages
gallery     images as one sprite of buttons
inspector   everything known about one image
form        widgets generated from the fields of a component
words       what people call settings
start       the form that starts a run (loads torch)
live        a run at work: progress, curves, warnings
manage      the list of runs, what can be done with one, two side by side
verdict     whether a run's difficulty may be believed
"""
