# Writes OUT: `build_id()`, a hash of the object files FILES and of VERSION. Objects rather than sources: they are what
# runs, whatever was edited while it was compiled, and they hold the compiler and its flags. Code that was cached under
# one id is never used under another.
set(text "${VERSION}")
foreach(file ${FILES})
  file(SHA256 ${file} hash)
  string(APPEND text "\n${hash}")
endforeach()
string(SHA256 id "${text}")
file(WRITE ${OUT}
     "#include \"codegen/native/host.h\"\nnamespace dlc {\nconst char* build_id() { return \"${id}\"; }\n}  // namespace dlc\n")
