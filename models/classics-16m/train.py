"""Train the small demo model (Llama geometry, byte-level BPE) on public-domain fiction.

usage: train.py CORPUS_DIR OUT MINUTES

Reads CORPUS_DIR/train.txt (books, parted by NUL bytes), eval_given.txt and eval_held.txt (books left out of training).
Writes OUT/model: config.json, generation_config.json, model.safetensors (bf16), tokenizer.json, tokenizer_config.json
"""
import json, math, os, random, re, sys, time, numpy as np, torch
from tokenizers import Tokenizer, models, pre_tokenizers, decoders, trainers, Regex, processors
import transformers as T
corpus, out, minutes = sys.argv[1], sys.argv[2], float(sys.argv[3])
t_start = time.time(); os.makedirs(f"{out}/model", exist_ok=True)
text = open(f"{corpus}/train.txt", encoding="utf-8").read(); books = [b.strip() for b in text.split("\x00")]
tok = Tokenizer(models.BPE())
pat = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pat), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
tok.decoder = decoders.ByteLevel()
special = ["<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|pad|>"]
V = 8192
rng = random.Random(1)
sample = [b[i:i + 40000] for b in books for i in range(0, len(b), 200000)]
tok.train_from_iterator(sample, trainers.BpeTrainer(vocab_size=V, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
tok.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", tok.token_to_id("<|begin|>"))])
BEG, END, USR, AST = (tok.token_to_id(x) for x in special[:4])
print("tokenizer", time.time() - t_start, flush=True)
# two kinds of document: long passages, and one turn of chat (an opening, then its continuation)
sent = re.compile(r"(?<=[.!?]) +|(?<=[.!?][\"']) +")
docs, chat = [], []
for b in books:
    pars = b.split("\n\n")
    docs.append(b)
    i = 0
    while i < len(pars):
        n = rng.randint(2, 6); chunk = pars[i:i + n]; i += n
        if 400 < sum(map(len, chunk)) < 1800:
            first = sent.split(chunk[0], 1)
            if len(first) == 2 and 20 < len(first[0]) < 220 and len(first[1]) > 40:
                chat.append((first[0], "\n\n".join([first[1]] + chunk[1:])))
enc = lambda s: [e.ids for e in tok.encode_batch(s, add_special_tokens=False)]
ids = []
for j in range(0, len(docs), 16):
    for e in enc(docs[j:j + 16]): ids.append(np.array([BEG] + e + [END], dtype=np.uint16))
prose = np.concatenate(ids)
ca, cb = enc([a for a, _ in chat]), enc([b for _, b in chat])
nl = tok.encode("\n", add_special_tokens=False).ids
chat_ids = np.concatenate([np.array([BEG, USR] + nl + a + [END] + nl + [AST] + nl + b + [END], dtype=np.uint16) for a, b in zip(ca, cb)])
print("tokens prose", len(prose), "chat", len(chat_ids), "turns", len(chat), time.time() - t_start, flush=True)
dev = "cuda"; CTX, B = 512, 128
prose_t = torch.from_numpy(prose.astype(np.int32)).to(dev); chat_t = torch.from_numpy(chat_ids.astype(np.int32)).to(dev)
cfg = T.LlamaConfig(vocab_size=V, hidden_size=384, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=6, num_key_value_heads=2, head_dim=64, max_position_embeddings=2048,
    rope_parameters=dict(rope_theta=10000.0, rope_type="default"), tie_word_embeddings=True, rms_norm_eps=1e-5, bos_token_id=BEG, eos_token_id=END, pad_token_id=tok.token_to_id("<|pad|>"), attn_implementation="sdpa")
torch.manual_seed(0); torch.set_float32_matmul_precision("high")
model = T.LlamaForCausalLM(cfg).to(dev); print("params", sum(p.numel() for p in model.parameters()))
decay = [p for p in model.parameters() if p.dim() >= 2]; rest = [p for p in model.parameters() if p.dim() < 2]
LR = 2.5e-3
opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=LR, betas=(0.9, 0.95), fused=True)
body = torch.compile(model.model); head = model.lm_head
off = torch.arange(CTX + 1, device=dev)
def loss_on(x):
    with torch.autocast("cuda", dtype=torch.bfloat16):
        h = body(input_ids=x[:, :-1], use_cache=False).last_hidden_state
        lo = head(h)
    return torch.nn.functional.cross_entropy(lo.float().view(-1, V), x[:, 1:].reshape(-1))
def batch(p_chat):
    n = int(B * p_chat)
    a = torch.randint(0, len(prose_t) - CTX - 1, (B - n,), device=dev); x = prose_t[a[:, None] + off]
    if n: c = torch.randint(0, len(chat_t) - CTX - 1, (n,), device=dev); x = torch.cat([x, chat_t[c[:, None] + off]])
    return x.long()
t0 = time.time(); end = t0 + minutes * 60; step = 0
# learning rate follows wall time: warm-up, then cosine to zero at the deadline
while True:
    f = min(1.0, (time.time() - t0) / (minutes * 60))
    if f >= 1.0: break
    lr = LR * min(1.0, (step + 1) / 200) * (0.5 * (1 + math.cos(math.pi * f)) * 0.97 + 0.03)
    for g in opt.param_groups: g["lr"] = lr
    loss = loss_on(batch(0.2)); loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0); opt.step(); opt.zero_grad(set_to_none=True); step += 1
    if step % 250 == 0: print(f"step {step} loss {loss.item():.3f} lr {lr:.5f} t {time.time()-t0:.0f} tokens {step*B*CTX/1e6:.0f}M", flush=True)
chat_template = "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\n' + message['content'] | trim + '<|end|>\n' }}{% elif message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] | trim + '<|end|>\n' }}{% elif message['role'] == 'assistant' %}{{ '<|assistant|>\n' + message['content'] | trim + '<|end|>\n' }}{% else %}{{ raise_exception('Unknown role: ' + message['role']) }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
ft = T.PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<|begin|>", eos_token="<|end|>", pad_token="<|pad|>", clean_up_tokenization_spaces=False); ft.chat_template = chat_template; ft.model_max_length = 2048
ft.save_pretrained(f"{out}/model")
model = model.to(torch.bfloat16); model.config.dtype = torch.bfloat16
model.generation_config = T.GenerationConfig(bos_token_id=BEG, eos_token_id=END, pad_token_id=cfg.pad_token_id, do_sample=True, temperature=0.8, top_p=0.95)
model.save_pretrained(f"{out}/model", safe_serialization=True)
# golden: the saved bf16 weights, computed in float32 on the CPU
ref = T.LlamaForCausalLM.from_pretrained(f"{out}/model", dtype=torch.float32, attn_implementation="eager").eval()
prompts = ["It was the best of times, it was the worst of times,", "Call me Ishmael.", "The rabbit looked at its watch, and then—", "Once upon a time there was a café in Zürich where 1,234 people"]
gold = []
from safetensors.torch import save_file
tens = {}
for i, p in enumerate(prompts):
    x = ft(p, return_tensors="pt").input_ids
    with torch.no_grad():
        tens[f"logits.{i}"] = ref(x).logits[0].float().contiguous()
        g = ref.generate(x, attention_mask=torch.ones_like(x), max_new_tokens=48, do_sample=False)[0, x.shape[1]:]
    gold.append(dict(prompt=p, input_ids=x[0].tolist(), greedy=g.tolist(), text=ft.decode(g)))
    print(p, "=>", ft.decode(g), flush=True)
m = [{"role": "user", "content": "The old house stood at the end of the lane."}]
c = ft.apply_chat_template(m, add_generation_prompt=True, tokenize=False)
gold.append(dict(chat=m, rendered=c, input_ids=ft(c, add_special_tokens=False).input_ids))
xc = torch.tensor([gold[-1]["input_ids"]]); torch.manual_seed(0)
print("chat =>", ft.decode(ref.generate(xc, attention_mask=torch.ones_like(xc), max_new_tokens=160, do_sample=True, temperature=0.8, top_p=0.95)[0]), flush=True)
# perplexity, float32, windows of 512 with no overlap, first token of a window not scored
def ref_ppl(path, limit=100000):
    e = tok.encode(open(path, encoding="utf-8").read(), add_special_tokens=False).ids[:limit]
    n = len(e) // 512 * 512; w = torch.tensor(e[:n]).view(-1, 512); s = c = 0
    r = ref.to(dev)
    with torch.no_grad():
        for i in range(0, len(w), 16):
            lo = r(w[i:i + 16].to(dev)).logits.float(); t = w[i:i + 16, 1:].to(dev)
            s += torch.nn.functional.cross_entropy(lo[:, :-1].reshape(-1, V), t.reshape(-1), reduction="sum").item(); c += t.numel()
    return math.exp(s / c), c
torch.backends.cuda.matmul.allow_tf32 = False; torch.set_float32_matmul_precision("highest")
for n in ("eval_given", "eval_held"):
    p, c = ref_ppl(f"{corpus}/{n}.txt"); gold.append(dict(perplexity_of=n, value=p, tokens_scored=c, how="float32, non-overlapping windows of 512 tokens, no begin token, first token of each window not scored")); print(n, "ppl", p, c, flush=True)
save_file(tens, f"{out}/golden_logits.safetensors"); json.dump(gold, open(f"{out}/golden.json", "w"), indent=1, ensure_ascii=False)
# tokenizer goldens: awkward strings
aw = ["", " ", "  two  spaces ", "\n\n\nline", "tab\there", "don't WON'T I'll", "1234567890", "naïve café — “quotes”", "日本語のテキスト", "😀👩‍👩‍👧‍👦", "\u200bzero\u00adwidth", "a" * 300, "<|user|>not special?<|end|>", "mixed\r\nline\rends", "ÀÉÎÕÜ ñ ß", "x = {'a': [1, 2.5e-3]}; // code"]
json.dump([dict(text=s, ids=ft(s, add_special_tokens=False).input_ids, decoded=ft.decode(ft(s, add_special_tokens=False).input_ids)) for s in aw], open(f"{out}/golden_tokens.json", "w"), indent=1, ensure_ascii=False)
# ONNX of the demo model
class Plain(torch.nn.Module):
    def __init__(s, m): super().__init__(); s.m = m
    def forward(s, input_ids, attention_mask, position_ids): return s.m(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False).logits
try:
    ref = ref.cpu(); x = torch.randint(6, V, (2, 32)); a = torch.ones_like(x); p = torch.arange(32)[None].expand(2, 32).contiguous()
    n = ["input_ids", "attention_mask", "position_ids"]; dyn = {k: {0: "batch", 1: "seq"} for k in n}
    m16 = T.LlamaForCausalLM.from_pretrained(f"{out}/model", dtype=torch.float16, attn_implementation="eager").eval()
    torch.onnx.export(Plain(m16), (x, a, p), f"{out}/demo_fp16.onnx", input_names=n, output_names=["logits"], dynamic_axes={**dyn, "logits": {0: "batch", 1: "seq"}}, opset_version=17, dynamo=False)
except Exception as e: print("onnx demo failed", str(e)[:300])
print("total", time.time() - t_start)
