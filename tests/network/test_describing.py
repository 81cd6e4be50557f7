import pytest
from cityscapes import CLASSES, PALETTE

from fastscnn_opt.network.describing import describe
from fastscnn_opt.network.layouts import LAYOUTS, MMSEGMENTATION, PADDLESEG, SEGMENTRON, TRAMAC

IMAGENET = {
    "image_mean": (0.485, 0.456, 0.406),
    "image_std": (0.229, 0.224, 0.225),
    "rescale_factor": 1 / 255,
    "channel_order": "rgb",
}


@pytest.mark.parametrize("layout", [SEGMENTRON, TRAMAC], ids=str)
def test_weights_for_cityscapes_have_its_classes(layout):
    told = describe(layout, 19)
    assert (told.names, [list(colour) for colour in told.palette]) == (CLASSES, PALETTE.tolist())


@pytest.mark.parametrize(("layout", "classes"), [(SEGMENTRON, 20), (TRAMAC, 2), (MMSEGMENTATION, 19), (PADDLESEG, 19)])
def test_other_classes_have_no_names(layout, classes):
    told = describe(layout, classes)
    assert (told.names, told.palette) == ((), ())


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_names_of_the_checkpoint_win(layout):
    names = tuple(map(str, range(19)))
    told = describe(layout, 19, names)
    assert (told.names, told.palette) == (names, ())


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_preprocessing_is_that_of_the_layout(layout):
    half = {"image_mean": (0.5, 0.5, 0.5), "image_std": (0.5, 0.5, 0.5)}
    assert describe(layout, 2).preprocess == (IMAGENET | half if layout is PADDLESEG else IMAGENET)
