"""Models that engines run and a strict check refuses: they load, compute the same, and it is said what was mended."""

import logging

import numpy as np
import onnx
import onnxruntime
import pytest
from graphs import add_initializers, floats, parse, random_input

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.model.shapes import infer_shapes
from fastscnn_opt.rewriting.manager import PassManager


def in_header(header, text, **initializers):
    """A model with the given header, of an old form for example."""
    return add_initializers(onnx.parser.parse_model(f"<{header}> {text}"), **initializers)


def outputs(content, **feeds):
    """What the engine itself makes of a model, or of the file of one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    content = content if isinstance(content, str) else content.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, feeds)


@pytest.fixture
def mended(tmp_path):
    """Loads a model, checks that it computes what the engine makes of the file, and returns it with the sentences."""

    def load(model, **feeds):
        file = tmp_path / "m.onnx"
        file.write_bytes(model.SerializeToString())
        said = []
        loaded = load_model(file, mended=said)
        for before, after in zip(outputs(str(file), **feeds), outputs(loaded, **feeds), strict=True):
            np.testing.assert_allclose(after, before, rtol=1e-6)
        save_model(loaded, tmp_path / "again.onnx")
        again = []
        assert load_model(tmp_path / "again.onnx", mended=again) == loaded
        assert again == []
        return loaded, said

    return load


def reverse(nodes):
    copies = list(nodes)
    del nodes[:]
    nodes.extend(reversed(copies))


def test_a_valid_model_is_left_as_it_is(tiny_model, mended):
    assert mended(tiny_model, image=random_input(1, 3, 16, 32)) == (tiny_model, [])


def test_nodes_are_sorted(mended):
    model = parse("g (float[2] x) => (float[2] y) { a = Neg(x) b = Exp(a) c = Abs(x) y = Add(b, c) }")
    reverse(model.graph.node)
    loaded, said = mended(model, x=floats(1, -2))
    assert [node.output[0] for node in loaded.graph.node] == ["c", "a", "b", "y"]
    assert said == ["its nodes were sorted topologically"]


def test_a_node_comes_behind_what_a_branch_in_it_reads(mended):
    model = parse("""
        g (bool c, float[2] x) => (float[2] y)
        { y = If(c)<then_branch = t () => (float[2] p) { p = Exp(a) },
                    else_branch = e () => (float[2] q) { q = Neg(x) }>
          a = Abs(x) }
    """)
    loaded, said = mended(model, c=np.array(True), x=floats(1, -2))
    assert [node.op_type for node in loaded.graph.node] == ["Abs", "If"]
    assert said == ["its nodes were sorted topologically"]


def test_nodes_inside_a_branch_are_sorted(tmp_path):
    model = parse("""
        g (bool c, float[2] x) => (float[2] y)
        { y = If(c)<then_branch = t () => (float[2] p) { p = Exp(a) a = Abs(x) },
                    else_branch = e () => (float[2] q) { q = Neg(x) }> }
    """)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    loaded = load_model(tmp_path / "m.onnx")
    np.testing.assert_allclose(outputs(loaded, c=np.array(True), x=floats(1, -2))[0], np.exp(floats(1, 2)), rtol=1e-6)


def test_a_cycle_is_refused(tmp_path):
    model = parse("g (float[2] x) => (float[2] y) { a = Add(x, b) b = Neg(a) y = Exp(b) }")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="out of order, form a cycle, or read what nothing makes"):
        load_model(tmp_path / "m.onnx")


def test_a_domain_without_an_import_is_imported(mended):
    model = parse("g (float[2,4] x) => (float[2,4] y) { a = Abs(x) y = com.microsoft.Gelu(a) }")
    loaded, said = mended(model, x=random_input(2, 4))
    assert {opset.domain: opset.version for opset in loaded.opset_import} == {"": 13, "com.microsoft": 1}
    assert said == ["the operator set 'com.microsoft' is now imported"]


def test_the_domain_of_a_node_in_a_branch_is_imported(mended):
    model = parse("""
        g (bool c, float[2,4] x) => (float[2,4] y)
        { y = If(c)<then_branch = t () => (float[2,4] p) { p = com.microsoft.Gelu(x) },
                    else_branch = e () => (float[2,4] q) { q = Neg(x) }> }
    """)
    assert mended(model, c=np.array(True), x=random_input(2, 4))[1] == [
        "the operator set 'com.microsoft' is now imported"
    ]


def test_the_operators_of_onnx_are_imported_in_the_version_of_the_file_format(mended):
    model = in_header(
        'ir_version: 8, opset_import: ["com.microsoft": 1]',
        "g (float[2,4] x) => (float[2,4] y) { y = com.microsoft.Gelu(x) }",
    )
    loaded, _ = mended(model, x=random_input(2, 4))
    assert {opset.domain: opset.version for opset in loaded.opset_import} == {"com.microsoft": 1, "": 18}


@pytest.mark.parametrize("imported", ['"": 13', '"ai.onnx": 13', '"": 13, "ai.onnx": 13'])
def test_the_two_names_of_the_domain_of_onnx_are_one(mended, imported):
    text = "g (float[2,4] x) => (float[2,4] y) { a = ai.onnx.Abs(x) b = Neg(a) y = ai.onnx.Exp(b) }"
    loaded, said = mended(in_header(f"ir_version: 8, opset_import: [{imported}]", text), x=random_input(2, 4))
    assert [node.domain for node in loaded.graph.node] == ["", "", ""]
    assert said == ["the domain 'ai.onnx' of 2 nodes is now written as ''"]


def test_the_two_names_of_the_domain_of_onnx_are_one_in_a_branch(tmp_path):
    model = parse("""
        g (bool c, float[2,4] x) => (float[2,4] y)
        { y = If(c)<then_branch = t () => (float[2,4] p) { p = ai.onnx.Exp(x) },
                    else_branch = e () => (float[2,4] q) { q = Neg(x) }> }
    """)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    x = random_input(2, 4)
    loaded = load_model(tmp_path / "m.onnx", mended=[])
    np.testing.assert_allclose(outputs(loaded, c=np.array(True), x=x)[0], np.exp(x), rtol=1e-6)


def test_a_negative_dimension_becomes_an_open_one(mended):
    model = parse("g (float[2,3] x) => (float[2,3] y) <float[2,3] a> { a = Neg(x) y = Exp(a) }")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.type.tensor_type.shape.dim[0].dim_value = -1
    loaded, said = mended(model, x=random_input(2, 3))
    assert not any(dim.HasField("dim_value") for dim in loaded.graph.input[0].type.tensor_type.shape.dim[:1])
    assert said == ["negative dimensions of 'x', 'y' and 'a' became open ones"]


def test_a_negative_dimension_of_a_weight_is_damage(tmp_path):
    model = parse("g (float[2] x) => (float[2] y) { y = Add(x, w) }", w=floats(1, 2))
    model.graph.initializer[0].dims[0] = -2
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="a dimension cannot be negative"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("missing", ["shape", "type"])
def test_what_the_type_of_an_output_lacks_is_inferred(mended, missing):
    model = parse("g (float[2,3] x) => (float[6] y, float[2,3] z) <int64[1] s = {6}> { y = Reshape(x, s) z = Neg(x) }")
    output = model.graph.output[0]
    if missing == "type":
        output.ClearField("type")
    else:
        output.type.tensor_type.ClearField(missing)
    loaded, said = mended(model, x=random_input(2, 3))
    assert loaded.graph.output[0].type == parse("g (float[6] y) => (float[6] y) { }").graph.output[0].type
    assert said == ["the shape of 'y' was inferred"]


def test_an_initializer_that_is_an_output_without_a_type_gets_its_own(mended):
    """An empty type in its place made shape inference take the axes of the Slice for the first ones."""
    text = "g (float[2,3,4] x) => (float[2,2,4] y) <int64[1] zero = {0}, int64[1] two = {2}, int64[1] one = {1}>"
    model = parse(f"{text} {{ m = Slice(x, zero, two, one) y = Relu(m) }}")
    model.graph.output.append(onnx.ValueInfoProto(name="one"))
    loaded, _ = mended(model, x=random_input(2, 3, 4))
    (inner,) = infer_shapes(loaded).graph.value_info
    assert [dim.dim_value for dim in inner.type.tensor_type.shape.dim] == [2, 2, 4]


def test_an_output_whose_shape_nobody_knows_stays_without(mended):
    model = parse("g (float[2,3] x, int64[r] s) => (float y) { y = Reshape(x, s) }")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    loaded, said = mended(model, x=random_input(2, 3), s=np.array([3, 2]))
    assert not loaded.graph.output[0].type.tensor_type.HasField("shape")
    assert said == []


def test_passes_work_beside_an_output_and_an_input_without_a_shape():
    model = parse("g (float x, int64[r] s) => (float y) { i = Identity(x) y = Reshape(i, s) }")
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.ClearField("shape")
    result = PassManager("remove-noops", verify=False).run(model).model
    assert [node.op_type for node in result.graph.node] == ["Reshape"]
    feeds = {"x": random_input(2, 3), "s": np.array([3, 2])}
    np.testing.assert_array_equal(outputs(result, **feeds)[0], outputs(model, **feeds)[0])


def test_simplify_works_beside_an_output_without_a_shape():
    model = parse("g (float[2,3] x, int64[r] s) => (float y) { i = Identity(x) a = Neg(i) y = Reshape(a, s) }")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    result = PassManager("simplify", verify=False).run(model).model
    assert [node.op_type for node in result.graph.node] == ["Neg", "Reshape"]
    assert not result.graph.output[0].type.tensor_type.HasField("shape")
    feeds = {"x": random_input(2, 3), "s": np.array([3, 2])}
    np.testing.assert_array_equal(outputs(result, **feeds)[0], outputs(model, **feeds)[0])


def test_shapes_are_inferred_beside_an_output_without_one():
    model = parse("g (float[2,3] x, int64[r] s) => (float y) { a = Neg(x) y = Reshape(a, s) }")
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert [value.name for value in infer_shapes(model).graph.value_info] == ["a"]


def test_weights_of_the_first_file_format_become_constants(mended):
    model = in_header(
        'ir_version: 3, opset_import: ["": 9]',
        "g (float[1,2,4,4] x, float[3,2,1,1] w, float[3] b) => (float[1,3,4,4] y) { y = Conv(x, w, b) }",
        w=random_input(3, 2, 1, 1),
        b=floats(1, 2, 3),
    )
    loaded, said = mended(model, x=random_input(1, 2, 4, 4))
    assert (loaded.ir_version, [value.name for value in loaded.graph.input]) == (4, ["x"])
    assert said == ["IR version 3 became 4, and 2 initializers can no longer be fed"]


def test_a_default_that_a_caller_may_replace_stays_an_input(mended):
    model = in_header(
        'ir_version: 7, opset_import: ["": 13]',
        "g (float[2] x, float[2] w) => (float[2] y) { y = Add(x, w) }",
        w=floats(1, 2),
    )
    assert mended(model, x=floats(1, 2))[1] == []


OLD = {
    "the scale of an upsampling": (7, "(float[1,2,8,8] y)", "y = Upsample<scales=[1.0,1.0,2.0,2.0]>(x)"),
    "statistics of a batch": (8, "(float[1,2,4,4] y)", "y = BatchNormalization<spatial=1>(x, v, v, v, v)"),
    "another domain": (8, "(float[1,2,4,4] y)", "a = com.microsoft.Gelu(x) y = Mul(a, u)"),
}


@pytest.mark.parametrize(("opset", "result", "nodes"), OLD.values(), ids=OLD)
def test_an_old_operator_set_is_converted(mended, opset, result, nodes):
    domains = ', "com.microsoft": 1' if "com." in nodes else ""
    header = f'ir_version: 4, opset_import: ["": {opset}{domains}]'
    text = f"g (float[1,2,4,4] x) => {result} {{ {nodes} }}"
    model = in_header(header, text, v=floats(1, 2), u=floats(3, 4).reshape(1, 2, 1, 1))
    model.graph.node[-1].doc_string = "the last"
    model.metadata_props.add(key="names", value="road")
    model.graph.input[0].type.denotation = "IMAGE"
    loaded, said = mended(model, x=random_input(1, 2, 4, 4))
    assert {o.version for o in loaded.opset_import if not o.domain} == {9}
    assert said == [f"opset {opset} was converted to 9"]
    assert (loaded.graph.input, loaded.metadata_props) == (model.graph.input, model.metadata_props)
    assert loaded.graph.node[-1].doc_string == "the last"


def test_large_weights_in_files_stay_there_when_the_operator_set_is_converted(tmp_path):
    model = in_header(
        'ir_version: 4, opset_import: ["": 7]',
        "g (float[3,20] x) => (float[3,20] y) { y = MatMul(x, w) }",
        w=random_input(20, 20),
    )
    settings = {"location": "w.bin", "size_threshold": 0}
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, **settings)
    loaded = load_model(tmp_path / "m.onnx")
    assert [entry.value for entry in loaded.graph.initializer[0].external_data if entry.key == "location"] == ["w.bin"]
    save_model(loaded, tmp_path / "out.onnx")
    x = random_input(3, 20)
    np.testing.assert_allclose(
        outputs(str(tmp_path / "out.onnx"), x=x)[0], x @ random_input(20, 20), rtol=1e-4, atol=1e-5
    )


UNCONVERTIBLE = {
    "nor what ONNX does not define": (
        8, "g (float[1,2,4,4] x) => (float[1,2,4,4] y) { y = RegionYolo_TRT(x) }"),
    "neither local functions nor what": (8, """
        g (bool c, float[2] x) => (float[2] y)
        { y = If(c)<then_branch = t () => (float[2] p) { p = Swish_TRT(x) },
                    else_branch = e () => (float[2] q) { q = Neg(x) }> }"""),
    "the axis along which Add broadcasts": (
        6, "g (float[1,2,4,2] x) => (float[1,2,4,2] y) <float[2] v = {1, 2}> { y = Add<axis=1, broadcast=1>(x, v) }"),
    "the axis along which PRelu broadcasts": (
        6, "g (float[1,2,4,2] x) => (float[1,2,4,2] y) <float[2] v = {1, 2}> { y = PRelu(x, v) }"),
    "Scan had a batch axis": (8, """
        g (float[1,3,2] x) => (float[1,3,2] y)
        { y = Scan<num_scan_inputs=1, body = b (float[2] i) => (float[2] o) { o = Neg(i) }>(, x) }"""),
    "the Upsample inside another node": (8, """
        g (bool c, float[1,2,2,2] x) => (float[1,2,4,4] y)
        { y = If(c)<then_branch = t () => (float[1,2,4,4] p) { p = Upsample<scales=[1.0,1.0,2.0,2.0]>(x) },
                    else_branch = e () => (float[1,2,4,4] q) { q = Upsample<scales=[1.0,1.0,2.0,2.0]>(x) }> }"""),
    "shape and existing shape differ in rank": (
        8, "g (float[2] x) => (float[2] y, float[2,1] w) <float[2] w = {1, 2}> { y = Add(x, w) }"),
}  # fmt: skip


@pytest.mark.parametrize("why", UNCONVERTIBLE)
def test_what_onnx_converts_wrongly_is_refused(tmp_path, why):
    opset, text = UNCONVERTIBLE[why]
    model = in_header(f'ir_version: 4, opset_import: ["": {opset}]', text)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(
        ModelError, match=f"opset {opset} is older than 9, and onnx cannot convert it .*{why}.*; export it"
    ):
        load_model(tmp_path / "m.onnx")


def test_what_was_mended_is_logged_once(tiny_model, tmp_path, caplog):
    reverse(tiny_model.graph.node)
    (tmp_path / "m.onnx").write_bytes(tiny_model.SerializeToString())
    with caplog.at_level(logging.WARNING):
        load_model(tmp_path / "m.onnx")
        load_model(tmp_path / "m.onnx")
    assert caplog.messages == [f"{tmp_path / 'm.onnx'}: its nodes were sorted topologically"]
