# All images for all architectures at once, from the project's root:
#
#     docker buildx bake -f deploy/images/bake.hcl --push
#
# REGISTRY, TAG and PLATFORMS are read from the environment.

variable "REGISTRY" {
  default = "konnect"
}

variable "TAG" {
  default = "0.1.0"
}

# Those of the base image. Both stages are of the platform that is built for: whatever is not this
# machine's is emulated.
variable "PLATFORMS" {
  default = "linux/amd64,linux/arm64"
}

target "default" {
  name       = image
  matrix     = { image = ["proxy-server", "proxy-agent", "proxy-test-client", "http-test-server"] }
  dockerfile = "deploy/images/Dockerfile"
  target     = image
  platforms  = split(",", PLATFORMS)
  tags       = ["${REGISTRY}/${image}:${TAG}"]
}
