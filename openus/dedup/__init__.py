"""Which pictures are the same picture.

fingerprint   a picture -> hash of its pixels, 64-bit pHash, 64 x 64 thumbnail
select        frames of one clip -> which are worth keeping
search        fingerprints -> matching pairs, streamed: coarse descriptors propose, aligned comparison decides
align         two thumbnails -> how well the one lies on the other
cluster       pairs -> clusters, and what is dropped for what
"""
