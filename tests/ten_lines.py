import fastscnn_opt as opt

result = opt.PassManager("argmax-output").run("model.onnx")
opt.save_model(result.model, "labels.onnx")
found = opt.evaluate("labels.onnx", "datasets/cityscapes")
times = opt.bench(["model.onnx", "labels.onnx"], effort=opt.Effort(rounds=5))
print(f"mIoU {100 * found.accuracy.mIoU:.2f} %, {times.rows[1].ratio:.2f} times as fast")
run = opt.score("python.toml", "runs/python", opt.Settings(effort=opt.Effort(rounds=5)))
print([(row.variant, row.mIoU_drop, row.ratio) for row in run.table])
opt.write_report(["runs/python"], "report.html")
