import pytest

from fastscnn_opt.network.layout import convolutions, expected_entries, heads_in
from fastscnn_opt.network.layouts import LAYOUTS, SEGMENTRON, TRAMAC

SEGMENTRON_KEYS = {
    "learning_to_downsample.conv.conv.weight": (32, 3, 3, 3),
    "learning_to_downsample.conv.bn.running_var": (32,),
    "learning_to_downsample.dsconv1.block.depthwise.weight": (32, 1, 3, 3),
    "learning_to_downsample.dsconv2.block.bn_point.num_batches_tracked": (),
    "global_feature_extractor.bottleneck1.0.conv.0.conv.weight": (384, 64, 1, 1),
    "global_feature_extractor.bottleneck2.0.conv.2.weight": (96, 384, 1, 1),
    "global_feature_extractor.bottleneck3.1.conv.1.conv.weight": (768, 1, 3, 3),
    "global_feature_extractor.bottleneck3.2.conv.3.bias": (128,),
    "global_feature_extractor.ppm.convs.3.conv.weight": (32, 128, 1, 1),
    "global_feature_extractor.out.bn.weight": (128,),
    "feature_fusion.dwconv.conv.weight": (128, 128, 1, 1),
    "feature_fusion.conv_lower_res.0.bias": (128,),
    "feature_fusion.conv_higher_res.0.weight": (128, 64, 1, 1),
    "classifier.dsconv2.block.pointwise.weight": (128, 128, 1, 1),
    "classifier.conv.1.weight": (19, 128, 1, 1),
    "auxlayer1.0.weight": (32, 64, 3, 3),
    "auxlayer2.0.weight": (32, 128, 3, 3),
    "auxlayer2.4.bias": (19,),
}
TRAMAC_KEYS = {
    "learning_to_downsample.conv.conv.0.weight": (32, 3, 3, 3),
    "learning_to_downsample.dsconv1.conv.1.running_mean": (32,),
    "learning_to_downsample.dsconv2.conv.3.weight": (64, 48, 1, 1),
    "global_feature_extractor.bottleneck1.0.block.0.conv.0.weight": (384, 64, 1, 1),
    "global_feature_extractor.bottleneck2.2.block.1.conv.1.num_batches_tracked": (),
    "global_feature_extractor.bottleneck3.0.block.2.weight": (128, 576, 1, 1),
    "global_feature_extractor.ppm.conv4.conv.0.weight": (32, 128, 1, 1),
    "global_feature_extractor.ppm.out.conv.0.weight": (128, 256, 1, 1),
    "feature_fusion.dwconv.conv.0.weight": (128, 1, 3, 3),
    "feature_fusion.conv_higher_res.1.running_var": (128,),
    "classifier.dsconv1.conv.4.bias": (128,),
    "classifier.conv.1.bias": (19,),
}


@pytest.mark.parametrize(
    ("layout", "heads", "count"),
    [
        (SEGMENTRON, SEGMENTRON.heads, 284),
        (SEGMENTRON, (), 268),
        (TRAMAC, (), 268),
        (TRAMAC, TRAMAC.heads, 276),
    ],
)
def test_a_checkpoint_has_as_many_keys_as_published(layout, heads, count):
    assert len(expected_entries(layout, 19, heads)) == count


@pytest.mark.parametrize(("layout", "published"), [(SEGMENTRON, SEGMENTRON_KEYS), (TRAMAC, TRAMAC_KEYS)], ids=str)
def test_published_keys_have_their_published_shapes(layout, published):
    entries = expected_entries(layout, 19, layout.heads)
    assert {key: entries.get(key) for key in published} == published


def test_heads_are_found_by_any_of_their_keys():
    assert heads_in(SEGMENTRON, ["auxlayer2.0.weight", "classifier.conv.1.bias"]) == SEGMENTRON.heads[1:]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_no_two_convolutions_share_a_key(layout):
    prefixes = [convolution.conv for convolution in convolutions(layout, 19, layout.heads).values()]
    assert len(set(prefixes)) == len(prefixes)
