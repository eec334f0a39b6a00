"""Figure 4 is the network as built."""

import pytest

from lungline.config.networks import UNetSpec
from lungline.detection.unet import describe
from lungline.errors import LunglineError
from lungline.reports.network_figure import place_layers, render_unet

ROWS = [
    ("down1", 4, 8, 8, 1000),
    ("down2", 8, 4, 4, 200),
    ("up1", 4, 8, 8, 30),
    ("merge1", 4, 8, 8, 4),
    ("logit", 1, 8, 8, 5),
]


def test_the_u_goes_down_on_the_left_and_up_on_the_right():
    places = place_layers(ROWS)
    assert places["input"][0] < places["down1"][0] < places["down2"][0] < places["merge1"][0] < places["logit"][0]
    assert places["down1"][1] == places["merge1"][1] == places["logit"][1] > places["down2"][1]


def test_boxes_say_channels_shape_and_parameters():
    figure = render_unet(ROWS, input_channels=3)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "input\n3 x 8 x 8" in texts
    assert "down1: 4 ch\n8 x 8\n1,000 par." in texts
    assert "up to 4 ch\n30 par." in texts
    assert "1,239 parameters" in figure.get_suptitle()


def test_a_network_as_described_by_the_model_can_be_drawn():
    figure = render_unet(describe(UNetSpec(base_channels=2, levels=4), 32, 32))
    assert "down4: 16 ch\n4 x 4" in " ".join(text.get_text() for text in figure.axes[0].texts)


@pytest.mark.parametrize("rows", [[("conv1", 1, 2, 3, 4)], [("logit", 1, 2, 3, 4)]])
def test_layers_of_another_network_are_refused(rows):
    with pytest.raises(LunglineError, match="expected layers"):
        place_layers(rows)
